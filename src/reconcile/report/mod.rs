//! Outcome → conditions → status file and journal.
