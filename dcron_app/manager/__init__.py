"""The manager: one elected leader places jobs on workers and looks after what they leave."""
