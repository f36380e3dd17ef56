"""What is measured while a network trains, in addition to loss and accuracy: firing rates and gradients."""
