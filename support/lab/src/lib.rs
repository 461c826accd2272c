//! x
pub mod ipynb;
