from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """The models are small: more threads only wait for one another."""
    torch.set_num_threads(1)
