"""Receptive fields: by hand, and against how far a value spreads."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
timm = pytest.importorskip("timm", reason="timm is in the extra `train`")

from torch import nn  # noqa: E402

from audio_model.receptive_field import Span, receptive_field  # noqa: E402


def spans(*layers: nn.Module, height: int = 48, width: int = 64):
    _, found = receptive_field(nn.Sequential(*layers), height, width)
    return found


def test_a_span_by_hand():
    # 3 wide, then 3 wide over every second: 0 sees 0..4 without padding, -1..3 with one before
    assert Span().windowed(3, 2, 0, 1).windowed(3, 1, 0, 1) == Span(0, 6, 2)
    assert Span().windowed(3, 2, 1, 1).windowed(3, 1, 1, 1) == Span(-3, 3, 2)
    assert Span().windowed(3, 1, 2, 2) == Span(-2, 2, 1)  # dilated by 2: 5 wide
    assert Span(-3, 3, 2).union(Span(0, 5, 2)).size == 9


def test_layers_by_hand():
    rows, columns = spans(nn.Conv2d(1, 2, (3, 5), (1, 2)), nn.ReLU(), nn.MaxPool2d(2))
    assert (rows.size, rows.step) == (4, 2)
    assert (columns.size, columns.step) == (5 + 2, 4)
    rows, columns = spans(nn.ZeroPad2d((3, 0, 1, 0)), nn.AvgPool2d((2, 4), (2, 4)))
    assert rows == Span(-1, 0, 2)
    assert columns == Span(-3, 0, 4)


def test_branches_have_the_union():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(1, 2, 7, padding=3), nn.Conv2d(1, 2, 1)

        def forward(self, image):
            both = torch.cat([self.wide(image), self.narrow(image)], dim=1)
            return both[:, :2] + both[:, 2:]

    assert spans(Two()) == (Span(-3, 3, 1), Span(-3, 3, 1))


def test_what_mixes_everything_sees_everything():
    class Gate(nn.Module):
        def forward(self, image):
            return image * torch.sigmoid(image.mean(dim=(2, 3), keepdim=True))

    assert spans(nn.Conv2d(1, 2, 3), Gate(), nn.Conv2d(2, 2, 3)) is None
    assert spans(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)) is None
    assert spans(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 1, 3)) is None  # not known


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 435), ("resnet34", 899), ("resnet50", 427), ("darknet53", 725)]
)
def test_known_networks(name, size):
    # the sizes that timm and torchvision document for their layouts
    trunk = timm.create_model(name, in_chans=1, num_classes=0, global_pool="")
    shape, (rows, columns) = receptive_field(trunk, 48, 256)
    assert shape == (1, trunk.num_features, 2, 8)
    assert (rows.size, rows.step) == (columns.size, columns.step) == (size, 32)


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "regnetx_002", "ghostnet_100"])
def test_values_reach_exactly_that_far(name):
    """NaNs go wherever a value goes: what a position depends on is where one ruins it."""
    trunk = timm.create_model(name, in_chans=1, num_classes=0, global_pool="").eval()
    _, found = receptive_field(trunk, 48, 64)
    trunk.double()
    if name == "ghostnet_100":  # squeeze-and-excitation
        assert found is None
        return
    columns = found[1]
    place = 1 - columns.first // columns.step  # the first that sees no padding, and one more
    n_frames = place * columns.step + columns.last + 40
    first, last = (place * columns.step + edge for edge in (columns.first, columns.last))

    def ruined(frames: slice) -> bool:
        image = torch.zeros(1, 1, 33, n_frames, dtype=torch.float64)
        image[..., frames] = torch.nan
        with torch.no_grad():
            return bool(trunk(image)[..., place].isnan().any())

    assert ruined(slice(first, first + 1))
    assert ruined(slice(last, last + 1))
    assert not ruined(slice(0, first))
    assert not ruined(slice(last + 1, None))
