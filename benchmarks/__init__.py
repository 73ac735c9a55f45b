"""Our flows beside other libraries', on the same workloads."""
