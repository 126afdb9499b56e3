"""Tests of `transformers_np.workspace`: the same memory again, and the same results."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.networks import draw_images
from transformers_np import ops
from transformers_np.cnn import Cnn, Resnet
from transformers_np.vit import Vit
from transformers_np.workspace import SLAB, Workspace, empty


def rng(seed=0):
    return np.random.default_rng(seed)


def take(*shapes):
    return [empty(shape, np.float32) for shape in shapes]


# Memory -----------------------------------------------------------------------------------------------------


def test_outside_every_array_is_new():
    first, second = take((2, 3), (2, 3))
    assert not np.shares_memory(first, second)
    assert (first.shape, first.dtype) == ((2, 3), np.float32)


def test_a_second_step_has_the_memory_of_the_first():
    workspace = Workspace()
    with workspace:
        first = take((2, 3), (4,), (2, 3))
    with workspace:
        second = take((2, 3), (4,), (2, 3))
    assert not np.shares_memory(first[0], first[2])
    assert all(a is b for a, b in zip(first, second, strict=True))
    with Workspace():
        other = take((2, 3))
    assert not np.shares_memory(other[0], first[0])


def test_what_changed_its_shape_or_type_is_new_and_the_rest_stays():
    workspace = Workspace()
    with workspace:
        first = take((2, 3), (4,), (5,))
    with workspace:
        second = [empty((2, 3), np.float32), empty((6,), np.float32), empty((5,), np.float64)]
    assert second[0] is first[0]
    assert second[1].shape == (6,)
    assert second[2].dtype == np.float64
    with workspace:  # a longer step
        third = [*take((2, 3), (6,)), empty((5,), np.float64), *take((7,))]
    assert all(a is b for a, b in zip(second, third, strict=False))
    with workspace:  # a shorter one
        take((2, 3))
    with workspace:
        fourth = [*take((2, 3), (6,)), empty((5,), np.float64), *take((7,))]
    assert all(a is b for a, b in zip(third, fourth, strict=True))


def test_arrays_begin_at_cache_lines_and_do_not_overlap():
    with Workspace():
        arrays = take((3,), (5, 7), (1,), (SLAB // 4 + 1,), (SLAB // 8,), (9,))
    for number, array in enumerate(arrays):
        assert array.ctypes.data % 64 == 0
        array[...] = number
    for number, array in enumerate(arrays):
        assert (array == number).all()


def test_a_smaller_batch_has_the_memory_of_the_larger_ones_and_leaves_it():
    workspace = Workspace()
    places = []
    for size in (64, 64, 10, 64, 65, 10, 65):
        with workspace:
            places.append(take((size, 3))[0].ctypes.data)
    assert len(set(places[:4])) == 1
    assert len(set(places[4:])) == 1


def test_a_workspace_within_another():
    outer, inner = Workspace(), Workspace()
    seen = []
    for _ in range(2):
        with outer as opened:
            assert opened is outer
            arrays = take((2,))
            with inner:
                arrays += take((2,), (2,))
            arrays += take((2,))
        arrays += take((2,))  # nothing is open
        seen.append(arrays)
    assert all(a is b for a, b in zip(seen[0][:4], seen[1][:4], strict=True))
    assert len({array.ctypes.data for array in seen[0]}) == 5
    with inner:
        assert all(a is b for a, b in zip(take((2,), (2,)), seen[0][1:3], strict=True))
    assert not np.shares_memory(seen[0][4], seen[1][4])


def test_a_workspace_within_itself_is_refused():
    workspace = Workspace()
    with workspace:
        first = take((2,))[0]
        with pytest.raises(RuntimeError, match="open already"), workspace:
            pass
        second = take((2,))[0]  # it is open still, and goes on where it was
    assert not np.shares_memory(first, second)
    with workspace:
        assert take((2,))[0] is first


def test_a_step_that_fails_closes_the_workspace():
    workspace = Workspace()
    with pytest.raises(ValueError, match="linear"), workspace:
        first = take((2,))[0]
        ops.linear(np.ones((2, 3)), np.ones((2, 4)))
    assert not np.shares_memory(take((2,))[0], first)
    with workspace:
        assert take((2,))[0] is first


def test_a_workspace_is_open_in_its_own_thread_only():
    outside, inside = Workspace(), Workspace()

    def other_thread():
        alone = take((2,))[0]  # nothing is open here
        with inside:
            return alone, take((2,))[0]

    with outside, ThreadPoolExecutor(1) as pool:
        first = take((2,))[0]
        alone, within = pool.submit(other_thread).result()
        second = take((2,))[0]
    with inside:
        assert take((2,))[0] is within
    with outside:
        assert all(a is b for a, b in zip(take((2,), (2,)), (first, second), strict=True))
    assert not np.shares_memory(alone, first)
    assert not np.shares_memory(alone, second)


# Networks ---------------------------------------------------------------------------------------------------

VIT, CNN, RESNET = Vit(6, 2, 3, 5, 8, 2, 2, 12), Cnn(8, 3, 5, (4, 6), 7), Resnet(3, 5, 4, 2)


def vit_step(parameters, images, targets):
    logits, cache = VIT.forward(images, parameters)
    return loss_and_gradients(VIT, logits, targets, cache)


def cnn_step(parameters, images, targets):
    logits, cache = CNN.forward(images, parameters)
    return loss_and_gradients(CNN, logits, targets, cache)


def resnet_step(parameters, images, targets):
    running = RESNET.init(rng())[1]
    logits, cache = RESNET.forward(images, parameters, running, training=True)
    return loss_and_gradients(RESNET, logits, targets, cache)


def loss_and_gradients(model, logits, targets, cache):
    loss, of_loss = ops.cross_entropy(logits, targets)
    return loss, logits, model.backward(ops.cross_entropy_backward(of_loss), cache)


NETWORKS = {
    "vit": (vit_step, VIT.init(rng()), 6),
    "cnn": (cnn_step, CNN.init(rng()), 8),
    "resnet": (resnet_step, RESNET.init(rng())[0], 7),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_the_same_in_a_workspace_and_outside(name):
    step, parameters, size = NETWORKS[name]
    workspace = Workspace()
    # A batch of another size, as the last of an epoch, comes between.
    for number, batch in enumerate((4, 4, 3, 4, 4)):
        images = draw_images((batch, 3, size, size), number).astype(np.float32)
        targets = rng(number).integers(0, 5, batch)
        loss, logits, gradients = step(parameters, images, targets)
        with workspace:
            found = step(parameters, images, targets)
            assert found[0] == loss
            assert np.array_equal(found[1], logits)
            assert found[2].keys() == gradients.keys() == parameters.keys()
            for key, gradient in gradients.items():
                assert np.array_equal(found[2][key], gradient), key


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_where_those_of_the_step_before_were(name):
    step, parameters, size = NETWORKS[name]
    images = draw_images((4, 3, size, size), 0).astype(np.float32)
    targets = np.arange(4)
    workspace = Workspace()
    kept = []
    for _ in range(2):
        with workspace:
            kept.append(step(parameters, images, targets))
    (_, logits, gradients), (_, same_logits, same_gradients) = kept
    assert np.shares_memory(logits, same_logits)
    weights = [key for key, gradient in gradients.items() if key.endswith("weight") and gradient.ndim > 1]
    assert len(weights) >= 4
    assert all(np.shares_memory(gradients[key], same_gradients[key]) for key in weights)
