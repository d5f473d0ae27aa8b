"""What `moderation doctor` looks at: one function a check, all of them in the table `CHECKS`."""
