//! `lab class`: a class that is only played, to see how many students a machine carries.
//!
//! | file | idea |
//! |---|---|
//! | `class/student.rs` | one student, with what a browser would send |
//! | `class/hub.rs` | a hub of its own, which leaves nothing behind |
//! | `class/usage.rs` | memory and processor time of a student's processes |
//! | `class/lesson.rs` | what the students do, and how long they wait for it |

pub mod hub;
pub mod lesson;
pub mod student;
pub mod usage;

pub use lesson::{Options, class};
