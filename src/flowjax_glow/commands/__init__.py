"""`flowjax-glow`: what people do with trained models and before there are any, a file each."""
