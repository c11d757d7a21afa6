//! GRAPH: operations with reference kernels, the symbolic graph, its plan, and the edge to the devices.
//!
//! A model records a [`Graph`] once. A [`Device`] plans its memory, loads the weights and compiles a [`Program`] that
//! runs every step. No input or output happens here. Adding an operation: a file in `ops/` and a line in `ops/mod.rs`.

mod device;
mod graph;
pub mod null;
pub mod ops;
mod plan;
mod reference;
mod rope;
mod shape;
mod step;
mod tap;
mod weights;

pub use device::{CacheSpec, CompileOptions, Device, DeviceError, MemoryPlan, Precision, Program, TimeShare};
pub use graph::{CachedValues, Graph, Node, StateId, StateSpec, ValueId};
pub use ops::Op;
pub use plan::{ALIGNMENT, Place, Plan, StepLimits};
pub use reference::{ReferenceContext, ReferenceDevice};
pub use rope::{RopeParameters, RopeStyle};
pub use shape::{RowUnit, Rows, Shape, ShapeError};
pub use step::{Run, StepInputs};
pub use tap::{Tap, tapped};
pub use weights::{WeightId, WeightSource, WeightSpec};
