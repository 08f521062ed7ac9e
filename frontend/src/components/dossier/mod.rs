//! What a run has measured of a pair of classes, in parts that pages put together.

mod parts;
mod table;

pub use self::parts::Parts;
