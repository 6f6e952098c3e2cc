//! The command `obcache` as a user meets it, a module a subcommand or a concern.

mod bad_input;
mod capture;
mod cli;
mod evaluate;
mod golden_check;
mod scoring;
mod sliding_window;
mod toy;
