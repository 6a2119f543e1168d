"""The transformer: its attention is that of the papers, and its text ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from zoo_torch.architectures.transformer import Transformer

import zoo
from zoo.spaces import Text
from zoo.testing import network_checks


@torch.no_grad()
def test_attention_is_scaled_and_causal_with_keys_and_values_for_all_heads(make):
    net = make("transformer", zoo.Discrete(5, levels=3), spread=0.3, width=12, heads=3, layers=1).network
    block, h = net.blocks[0], torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
    projected = block.project(block.norm_attention(h))
    q = projected[:, :, :12].unflatten(2, (3, 4)).transpose(1, 2)  # (N, heads, T, F)
    k, v = (projected[:, None, :, start : start + 4].expand(-1, 3, -1, -1) for start in (12, 16))
    seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    expected = h + block.out(seen)
    expected = expected + block.mlp(block.norm_mlp(expected))
    q, k, v = block.queries_keys_values(h)
    torch.testing.assert_close(block(h, q, k, v), expected)
    for place in range(5):  # and one position at a time
        here = slice(3 * place, 3 * place + 3)
        one = block(h[:, place], q[:, here], k, v, net.mask(torch.tensor([place])))
        torch.testing.assert_close(one, expected[:, place])


def test_long_sequences_need_no_table_of_all_pairs(make):
    """3,072 positions of 4 heads see each other in 38 million pairs, four bytes each, for an image and a layer."""
    net = make("transformer", zoo.Image(32, 32, 3), width=8, heads=4, layers=1).network
    x = torch.zeros(2, net.dim, dtype=torch.int64)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        net.nll(x, torch.ones(2, *net.dropped)).mean().backward()
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < 4 * 2 * net.dim * max(net.levels, 4 * 8) * 1.1


def test_a_text_that_has_ended_costs_nothing_and_ends_the_loop(make):
    model = make("transformer", Text(6, "ab"), spread=0.3, width=8, heads=2, layers=1)
    x = model.sample(200, seed=0)
    terms = model.run("log_prob", {"x": x})["conditionals"]
    after = np.cumsum(x == 0, axis=1) > 1
    assert after.any()
    assert (terms[after] == 0).all()
    assert (terms[~after] < 0).all()
    until = model.methods["sample"].until
    assert until({"last": torch.tensor([0, 0])})
    assert not until({"last": torch.tensor([0, 1])})
    assert not until({"last": model.network.init(torch.arange(2), torch.tensor(1.0))["last"]})


@pytest.mark.parametrize("heads", [0, 5])
def test_heads_share_the_width(heads):
    with pytest.raises(zoo.ZooError, match=rf"width=64 is not a multiple of heads={heads}"):
        zoo.create("transformer", zoo.Discrete(3, levels=4), config={"heads": heads})


CLAIMS = (
    "density_integrates_to_one",
    "later_dimensions_do_not_change_earlier_ones",
    "rows_far_out_are_like_the_first",
    "samples_follow_the_density",
)


def test_the_suite_checks_models_of_tokens():
    """Whose samples callers get as strings."""
    space, settings = zoo.Tokens(3, 2, "{}"), {"layers": 1, "width": 8, "heads": 2}
    cases = network_checks(Transformer, space, family="autoregressive", settings=settings)
    results = [case.run() for case in cases if str(case) in CLAIMS]
    assert [result.outcome for result in results] == ["passed"] * len(CLAIMS), results
