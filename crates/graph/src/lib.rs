//! GRAPH: operations with reference kernels, the symbolic graph, its passes, the plan.
