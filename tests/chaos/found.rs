//! What seeds found once, told in as few turns as it took.
