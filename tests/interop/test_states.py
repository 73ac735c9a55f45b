"""States in files: what PyTorch writes is read without it, and nothing in a file is run."""

import base64
import io
import os
import pickle
import re
import zipfile
import zlib

import numpy as np
import pytest

from flowjax_glow.interop.states import read_states
from flowjax_glow.interop.torch_file import TorchFileError, _Storage, _Tensor, read_torch

#: `torch.save` of torch 2.14 of what `CONTENT` has, as a zip file and as before PyTorch 1.6.
NEW = (
    "c-p0vO>g5w7{|v>;v{Z)DTLjWh2<Sm*iCCEaTB1MT?_f*15FT;)l1|iZfxP!dF)9mkSbMz7WTIA0T7oJ9FaJ10_|"
    "5=wA_#oS|o%x@D-RDyNT_-gxz)I*s<sLfBw%i^Gw$DOctR+0i8HRR7U3Vz{F;C^pUHnCA4wMalr2bsu(!}Y<mOC1"
    "+L%sT-WMj$J+_S_x*w8TZ8wUJ{Eyr>O!Vs2xRP@<qT~M**^CCzFqB&vEv3}&$l+mjyvdKYbWsh-mWY{u2M1bgb2t"
    ";b7+AOBBJJcCjKCNC_>)g$e0x<7#VWykH%2cc?@DlM>?nTM=+=JI(G!~H*M<TF$|A);R%DJjy4@LfG2Gd#}@2RM}"
    "h^rsB;*eV*DXIO}|PZ`wWH)UAQ>jhq6&5gL~T+Hffn)k-dM`pw)v*`|unyzH9jbsRcZ*b3qVnvQk+iuW!R;J;NN>"
    "rn?0%gbt$YRF<BkOcH#N8I$29n<e%#HO3#pE7aJlp|RI6yxxU3nB<mg4xy5i^gMSWx5VUX@Mf6jTSRVYDU`W_;c6"
    "GEOlH@y_Fy?tn>wrzM!+C-Xk}?_Wpa}_f?CMeF*LfMu)!l(J!6JPrf-tMS-uF(gnk2BVTx}@DZWEfd^gly!*Hz&?"
    "JwAm>z~7oE~w+`x}Gom^z-+Be#Rq2&-F9c^a5HVYr4AS`P(M$MKhzRty7ow|2iZZ{KtQP`;>a8=h?waVen`n_e|F"
    "r?rd8-_>tl(b!wo!2Y-{q5r3|MIg}#?Hb2IeN83_UIke$A7`qnLI9$8GNLy1lSEGQk(XOz(qN()BL7RMCrwY5b+t"
    "mUabH0LltRQLXwTDlg9V9f1ee>=g-_jMEoe^6&jxB2{Ph#I`qdSz(cQ)=n5MK*<j>4CI&)uFq{{>V$hU=P|Ly`Y!"
    "4QVdqo}AyXoG#w_>&r5EQJx_yAImm0wTd3Jel+$$o5s7<5q_OLe?@eI#GCZa+M`WiO{9_Uem(qf_WCWOCT$>=YGC"
    ";e>7Y+c`ajci2AW!bC?k@rG#kolt);Y-I{C<oBuVv^dQ)l1irkbH`n=U-UADT|v@66%g}LN-R{h9leE$(oIG_HHr"
    "n&gmv5;Wy@#y4UmB!<ZUrOMe3_5kUNh`$LelDT#3sabE7ilow?a9fykVTU{B2C5nG)Wm#N=j4l?o3kmrj(qf;%%9"
    "vO1TMDOH=W#OH!RFRZmm#-bqs5O{qqjim&@(a;*z!+GS}hz7Wd^>??+y-XiO|AY6&YUCvycF!QPF4}5rS=EE!D*x"
    "f&o!*G|&2_ZAj#)o7714|JNHv"
)
OLD = (
    "c-nPR$!^m?81|C5)X-9P%3Ah>B_wH@IBW?O>cwKIx%h%C*O|sfZYG~SX$4ZGTv`gxz=0!=(bwS-kT@`7r-2qT@{B"
    "w)|9s2;|0Cs#9{&2e@^j(+_c!yUk@E6~%GV*Jf;}fmQa_@MdNg!4NfZaP2bl-hGyEnD7z>F*dY!=SLD{u+e#k!bi"
    "4zAONep#}T*1!s!`P=0L*7(umG6QcgJ$OJoWP*HE~d=fV6e|A;x}lAgpfT>8xoIk)>wZXbx1@yF9MJ0P>L4Rg01n"
    "`EfREnhMdP}<oP9Mz=AN=ortUrg0SN-(u-;2Y*uyT3k7>hsNs=rmq1IO=qn+0+1vC`$CN$GW16*EquFd4l}5EuH*"
    "h2o?)3+lHkDTl`l>0JvZ?IgsHvFp4vu~Hg{B#XSqsM#YiofUW6tNSzUCiBZIl~TobabjnWLRd(6(_(ET>bXGYn@f"
    "oEr>r-k#=9oejd=j>}xkC-)a@ekkGM5SJ2D`_;K@%5fa8C21sm>iM{0s)-)o4cBos)iZX!oLH~aC*~Ip%dA%FxaO"
    "y(uM3&VHf{)+H&dCn7;am*lMt+jZWo1v1eAso@ZukE!&ofWj2Z{OJI=v94qhy#p!XRbSSTf+n*rIv!+*1wBGh>n%"
    "N#-D2$fY)5mA#W|510an4;AfmMqk5Su`^m|LK#y8@W8iB+_AIvn`b?RRhg&G9HbS@mM6|Ny_w;;hBZjZn9~A!gCA"
    "DqOaeHzRvJ2XW3D*Sk<hi%w_ddKC6NnDGB#t$eQ%`7`6D)<{zIUKEJh<19zjAawt}w?Aw#ry_U518yn~jdj"
)

CONTENT = {
    "model": {"weight": np.array([[1.0, 2.0]], "f4"), "bias": np.array([3.0], "f4")},
    "epoch": 3,
    "half": np.array([1.5, -2.0], "f4"),  # a bfloat16
    "flag": np.array(True),
    "view": np.array([[1.0, 4.0], [2.0, 5.0]], "f4"),  # of a transposed tensor
    "p": np.array([1.0, 1.0], "f4"),  # a parameter
}


def unpacked(text):
    return zlib.decompress(base64.b85decode(text))


def same(found, wanted):
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[n], wanted[n]) for n in wanted)
    return np.array_equal(found, wanted) and np.asarray(found).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("text", [NEW, OLD])
def test_files_of_torch_are_read_without_it(text, tmp_path):
    assert same(read_torch(io.BytesIO(unpacked(text))), CONTENT)
    (tmp_path / "state.pt").write_bytes(unpacked(text))
    outer, inner = read_states(tmp_path / "state.pt")
    assert same(inner, CONTENT["model"])
    assert outer.keys() == CONTENT.keys() - {"model", "epoch"}


@pytest.mark.parametrize("text", [NEW, OLD])
def test_damaged_files_are_refused(text):
    whole, random = unpacked(text), np.random.default_rng(0)
    for end in range(0, len(whole) - 1, 37):
        with pytest.raises(TorchFileError):
            read_torch(io.BytesIO(whole[:end]))
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        try:
            read_torch(io.BytesIO(bytes(damaged)))
        except TorchFileError:
            continue  # others have another number, or a changed name


class Hostile:
    def __reduce__(self):
        return os.system, ("touch reached",)


def test_a_pickle_that_names_anything_else_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Hostile()}))
    message = "a.pt: expected a state of .*, got one that names posix.system; save the state alone"
    with pytest.raises(ValueError, match=message):
        read_states("a.pt")
    assert not (tmp_path / "reached").exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (3, 3), (3, 1)), (5, (4,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (9,), (0,))],
)
def test_a_tensor_beyond_its_numbers_is_refused(offset, shape, strides):
    with pytest.raises(TorchFileError, match="a tensor of"):
        _Tensor(_Storage("<f4", 8), offset, shape, strides)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\0" * 8 + b"{", b"PK\3\4", b"\x80\2."])
def test_what_is_no_state_is_told(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'x'}: expected a state of PyTo")):
        read_states(tmp_path / "x")
