import torch

from legato.values.turning import lying, stood


def test_eight_ways_to_lie_are_all_different_and_are_undone() -> None:
    raster = torch.arange(2 * 3 * 5).view(2, 3, 5)
    ways = [lying(raster, k) for k in range(8)]
    assert len({(tuple(way.shape), tuple(way.flatten().tolist())) for way in ways}) == 8
    assert all(torch.equal(stood(way, k), raster) for k, way in enumerate(ways))


def test_the_first_is_as_it_was_the_second_mirrored_and_the_first_four_keep_the_shape() -> None:
    raster = torch.arange(15).view(3, 5)
    assert torch.equal(lying(raster, 0), raster)
    assert lying(raster, 1)[0].tolist() == [4, 3, 2, 1, 0]
    assert lying(raster, 2)[0].tolist() == [14, 13, 12, 11, 10]
    assert [tuple(lying(raster, k).shape) for k in range(8)] == [(3, 5)] * 4 + [(5, 3)] * 4
