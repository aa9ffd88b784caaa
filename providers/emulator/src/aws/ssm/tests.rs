//! The rules of Parameter Store, one by one.
