"""What the programs that run as Jobs share: how they end, what they log, and what they tell while they run."""
