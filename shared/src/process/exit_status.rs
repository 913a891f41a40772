//! The exit statuses of both programs.

/// The command was refused, or found differences.
pub const REFUSED: u8 = 1;

/// The command line or a setting is wrong.
pub const USAGE: u8 = 2;

/// A dependency is down.
pub const DOWN: u8 = 3;

/// The same for the help.
pub const HELP: &str = "\
Exit status:
  0  done
  1  refused, or differences found
  2  wrong usage, or a wrong setting
  3  a dependency is down";
