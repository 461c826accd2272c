//! The whole front, played: a world around it that answers as evcxr and the process of the cells do.

mod notices;
mod orders;
mod published;
mod random;
mod world;
mod written;
