"""Training: data -> stage (network, samples, loss, judgement) -> loop -> run folder -> weights folder."""
