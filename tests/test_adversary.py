"""Fail where the adversary's own steps and the network's mix, or a resumed run with it differs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY
from test_training import Blur, assert_same_weights

from mcnn_keras import train
from mcnn_keras.training import loop
from mcnn_keras.training.losses import coarse_targets
from mcnn_keras.training.optimizer import Adam, apply_clipped


class TestAdversary:
    @pytest.fixture
    def trainer(self, monkeypatch):
        """A run with an adversary, stopped before its first step."""
        kept = []
        monkeypatch.setattr(loop.Trainer, "run", lambda self, resume: kept.append(self) or [])
        train(Blur(), adversarial=0.1, **TINY)
        monkeypatch.undo()
        return kept[0]

    def step(self, trainer):
        s = trainer.settings
        batches = loop.stream(Blur(), "train", s.batch_size, s.image_size, s.seed)
        trainer._advance(next(iter(batches)))

    def test_it_is_frozen_while_the_network_learns(self, trainer, monkeypatch):
        """Fails where the network's own step changes the discriminator, too."""
        monkeypatch.setattr(trainer.adversary, "learn", lambda *arguments: None)
        judge, network = (m.get_weights() for m in (trainer.adversary.model, trainer.model))
        self.step(trainer)
        for before, after in zip(judge, trainer.adversary.model.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)
        assert any(
            (a != b).any() for a, b in zip(network, trainer.model.get_weights(), strict=True)
        )

    def test_it_learns_in_its_own_step_alone(self, trainer):
        """Fails where the discriminator does not learn, or its step changes the network."""
        images, targets = trainer.test
        outputs = trainer.model(images)
        scales = coarse_targets(tf.constant(targets), trainer.branches)
        network = trainer.model.get_weights()
        adversary = trainer.adversary

        def mistakes():
            return np.mean(adversary._distance(outputs, 0.0) + adversary._distance(scales, 1.0))

        before = mistakes()
        learn = tf.function(
            lambda: trainer.strategy.run(adversary.learn, args=(outputs, scales, 8)),
            autograph=False,
        )
        for _ in range(30):
            learn()
        assert mistakes() < 0.8 * before
        for a, b in zip(network, trainer.model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_its_judgement_reaches_the_network(self, trainer):
        """Fails where no gradient of the discriminator's judgement reaches the network."""
        images, _ = trainer.test
        with tf.GradientTape() as tape:
            error = tf.reduce_sum(trainer.adversary.error(trainer.model(images)))
        gradients = tape.gradient(error, [v.value for v in trainer.model.trainable_variables])
        assert any(g is not None and np.abs(g).max() > 0 for g in gradients)

    def test_a_resumed_run_ends_as_one_never_stopped(self, tmp_path, monkeypatch):
        """Fails where a checkpoint lacks the discriminator or its optimiser."""
        whole = train(Blur(), adversarial=0.1, **TINY)
        advance = loop.Trainer._advance

        def interrupted(self, batch):
            if self.step == 3:
                raise KeyboardInterrupt
            advance(self, batch)
            self._save()

        monkeypatch.setattr(loop.Trainer, "_advance", interrupted)
        folder = tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            train(Blur(), output=folder, adversarial=0.1, **TINY)
        monkeypatch.undo()
        resumed = train(Blur(), output=folder, resume=True, adversarial=0.1, **TINY)
        assert_same_weights(whole, resumed)


def test_gradients_are_summed_over_replicas_once_and_clipped_as_one():
    """Fails where Keras sums them again, or each replica clips its own part."""

    class Own(tf.distribute.MirroredStrategy):
        # TensorFlow numbers the sums of every strategy of a process from the same start; a training
        # that another test has stopped in a step may still wait for one.
        _collective_key_base = 10**6

    strategy = Own(["/cpu:0", "/cpu:1"])
    for size, expected in ((0.1, 0.3), (10.0, 1.0)):
        with strategy.scope():
            variable = keras.Variable(np.zeros(1, np.float32))
            adam = Adam(1e-3, beta_1=0.9)
            adam.build([variable])

        def update(gradient, adam=adam, variable=variable):
            apply_clipped(adam, [gradient], [variable])

        def own(context, size=size):
            return tf.constant([size * (1 + context.replica_id_in_sync_group)], tf.float32)

        gradients = strategy.experimental_distribute_values_from_function(own)
        tf.function(lambda g, update=update: strategy.run(update, args=(g,)))(gradients)
        momentum = next(v for v in adam.variables if "momentum" in v.path)
        np.testing.assert_allclose(momentum.numpy(), [0.1 * expected], rtol=1e-5)
