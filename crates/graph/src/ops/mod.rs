//! The operations: one file each, with its shape rule and its reference kernel in plain loops (the oracle).
//!
//! The list below is the only place that names them all.

use crate::graph::{Graph, StateId};
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// What every operation defines.
pub trait OpDef {
    /// Name in dumps and errors.
    fn name(&self) -> &'static str;

    /// Shape of the value made.
    ///
    /// # Errors
    /// The inputs do not fit the operation.
    fn shape(&self, inputs: &[Shape], graph: &Graph) -> Result<Shape, ShapeError>;

    /// Weights read.
    fn weights(&self) -> Vec<WeightId> {
        Vec::new()
    }

    /// State read and written.
    fn state(&self) -> Option<StateId> {
        None
    }

    /// Computes the value with plain loops in F32. `inputs` and `out` are dense, `[rows, width]`.
    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>);
}

macro_rules! ops {
    ($($module:ident :: $op:ident),* $(,)?) => {
        $(mod $module; pub use $module::$op;)*

        /// Any operation.
        #[derive(Clone, Debug)]
        #[allow(missing_docs)]
        pub enum Op { $($op($op),)* }

        $(impl From<$op> for Op { fn from(op: $op) -> Op { Op::$op(op) } })*

        impl OpDef for Op {
            fn name(&self) -> &'static str { match self { $(Op::$op(op) => op.name(),)* } }
            fn shape(&self, inputs: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
                match self { $(Op::$op(op) => op.shape(inputs, graph),)* }
            }
            fn weights(&self) -> Vec<WeightId> { match self { $(Op::$op(op) => op.weights(),)* } }
            fn state(&self) -> Option<StateId> { match self { $(Op::$op(op) => op.state(),)* } }
            fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
                match self { $(Op::$op(op) => op.reference(inputs, out, context),)* }
            }
        }
    };
}

ops! {
    embedding::Embedding,
    rms_norm::RmsNorm,
    matmul::MatMul,
    add::Add,
    scale::Scale,
    softcap::Softcap,
    slice::Slice,
    gate::Gate,
    gate_rows::GateRows,
    rope::Rope,
    attention::Attention,
    route::Route,
    expert_matmul::ExpertMatMul,
    expert_combine::ExpertCombine,
    select_outputs::SelectOutputs,
    short_convolution::ShortConvolution,
    selective_scan::SelectiveScan,
    square_sums::SquareSums,
    expert_square_sums::ExpertSquareSums,
}

pub use attention::alibi_slopes;
pub use gate::GateActivation;
pub use matmul::Scaled;
pub use route::{Gating, Normalise};

/// Takes exactly `N` inputs or says how many came.
pub(crate) fn inputs<const N: usize>(operation: &'static str, shapes: &[Shape]) -> Result<[Shape; N], ShapeError> {
    shapes.try_into().map_err(|_| ShapeError::new(operation, format!("takes {N} inputs, found {}", shapes.len())))
}

/// Demands equal numbers.
pub(crate) fn same(operation: &'static str, what: &str, found: usize, wanted: usize) -> Result<(), ShapeError> {
    if found == wanted {
        Ok(())
    } else {
        Err(ShapeError::new(operation, format!("{what} is {found}, wanted {wanted}")))
    }
}
