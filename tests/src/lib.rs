//! End-to-end tests: the built server and worker, driven through a real Chromium.
