"""What is measured while a network trains, beside loss and accuracy: firing rates, gradients, confusions."""
