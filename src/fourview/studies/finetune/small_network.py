"""A small network that starts from nothing: what a network learns from few images alone, without photographs.

Method: Raghu et al. 2019, whose small networks of plain convolutions kept up with large pretrained ones on medical
images. After these: four times convolution, batch norm, ReLU and pooling, the width doubling each time, then the mean
over all positions.
"""

from __future__ import annotations

from torch import Tensor, nn

BLOCKS = 4


class SmallNetwork(nn.Module):
    """(batch, 3, rows, cols) -> (batch, 8 * width). width: channels of the first block"""

    def __init__(self, width: int) -> None:
        super().__init__()
        blocks, channels_in = [], 3
        for number in range(BLOCKS):
            channels = width * 2**number
            blocks.append(
                nn.Sequential(
                    nn.Conv2d(channels_in, channels, 5, padding=2, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                    nn.MaxPool2d(3, stride=2, padding=1),
                )
            )
            channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.features = channels_in

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(x).mean(dim=(2, 3))
        return found
