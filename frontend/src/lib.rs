//! The CrossLens browser application.
