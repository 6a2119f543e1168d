"""Third-party Keras models as genzoo models: functional, sequential and subclassed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo_keras import wrap
from zoo_keras.backend import keras, layers, ops

import zoo
from zoo import noise as reference
from zoo.errors import ExportError, InputError

# Keras turns tensors into arrays in a way that numpy 2 warns of
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IMAGE = zoo.Image(8, 8, 1)
NOISE = zoo.Normal(5)


def drawn(count, seed, noise=NOISE, name="noise"):
    return reference.draw(noise, np.arange(count), seed=seed, stream=f"sample/{name}")


def levels(y, low, high):
    return ((np.asarray(y) - low) * (255 / (high - low))).round().clip(0, 255).astype(np.uint8)


def functional():
    keras.utils.set_random_seed(0)
    z = keras.Input((5,))
    h = layers.Dense(4 * 4 * 3, activation="relu")(z)
    h = layers.Dropout(0.5)(h)
    h = layers.BatchNormalization()(h)
    h = layers.Reshape((4, 4, 3))(h)
    return keras.Model(z, layers.Conv2DTranspose(1, 3, 2, "same", activation="tanh")(h))


class Encoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.stack = [layers.Conv2D(3, 3, 2, "same", activation="relu"), layers.Flatten(), layers.Dense(4)]

    def call(self, x):
        for layer in self.stack:
            x = layer(x)
        return x


def test_a_functional_model_a_subclassed_one_and_a_sequential_one(tmp_path):
    generator, encoder = functional(), Encoder()
    encoder(np.zeros((1, 8, 8, 1)))
    classifier = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, "softmax")])
    generator.train()
    modes = [m.training for m in generator.modules()]
    before = [np.array(w) for w in generator.get_weights()]
    model = wrap(sample=generator, noise=NOISE, encode=encoder, predict=classifier, classes=list("abc"), space=IMAGE)
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    x = artifact.sample(5, seed=3)
    assert np.array_equal(x, model.sample(5, seed=3))
    assert [m.training for m in generator.modules()] == modes  # before Keras's predict, which changes them
    assert np.array_equal(x, levels(generator.predict(drawn(5, 3), verbose=0), -1, 1))
    scaled = x / np.float32(127.5) - 1
    np.testing.assert_allclose(artifact.encode(x), encoder.predict(scaled, verbose=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(artifact.predict(x), classifier.predict(scaled, verbose=0), rtol=1e-4, atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(before, generator.get_weights(), strict=True))


def test_a_loaded_model(tmp_path):
    functional().save(tmp_path / "mine.keras")
    model = wrap(sample=keras.saving.load_model(tmp_path / "mine.keras"), noise=NOISE, space=IMAGE, values=(-1, 1))
    zoo.export(model, tmp_path / "artifact")
    rows = zoo.open(tmp_path / "artifact", device="cpu").sample(4, seed=0)
    assert np.array_equal(rows, levels(functional().predict(drawn(4, 0), verbose=0), -1, 1))


def test_an_iterative_sampler_over_a_layer(tmp_path):
    layer = layers.Dense(2, activation="tanh")
    layer.build((None, 2))

    def step(i, state, fresh, rate):
        return state + rate * layer(state) + 0.1 * fresh

    two = zoo.Normal(2)
    model = wrap(
        init=lambda z: z, step=step, length="steps", options={"steps": 4, "rate": 0.5}, noise=two, step_noise=two,
        space=zoo.Real(2),
    )  # fmt: skip
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    np.testing.assert_allclose(
        artifact.sample(6, seed=1, steps=7), model.sample(6, seed=1, steps=7), rtol=1e-4, atol=1e-5
    )
    assert len(model.network.parts) == 1


def test_a_denoiser_with_its_channels_last(tmp_path):
    keras.utils.set_random_seed(0)
    x, t = keras.Input((8, 8, 1)), keras.Input((1,))
    h = layers.Conv2D(4, 3, padding="same", activation="silu")(x) + layers.Dense(4)(t)[:, None, None, :]
    net = keras.Model([x, t], layers.Conv2D(1, 3, padding="same")(h))

    def denoiser(x, t):
        return net([x, ops.cast(t, "float32")[:, None] / 1000])

    signal = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    model = wrap(denoiser=denoiser, schedule=signal, space=IMAGE, length=4)
    zoo.export(model, tmp_path / "artifact")
    x = zoo.open(tmp_path / "artifact", device="cpu").sample(3, seed=0, steps=5)
    assert np.abs(x.astype(int) - model.sample(3, seed=0, steps=5)).max() <= 1
    assert model.methods["sample"].init_noise["start"].shape == (8, 8, 1)


def test_keras_s_own_random_numbers_are_refused():
    class Sampling(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, z):
            return z + keras.random.normal(ops.shape(z), seed=self.seeds)

    with pytest.raises(InputError, match=r"draws its own random numbers, .*\(test_wrap.py:\d+\).*noise=zoo.Normal"):
        wrap(sample=Sampling(), noise=zoo.Normal(2), space=zoo.Real(2))
    with pytest.raises(InputError, match="draws its own random numbers"):  # repeatable, but not in the artifact
        wrap(sample=lambda z: z + keras.random.normal(ops.shape(z), seed=3), noise=zoo.Normal(2), space=zoo.Real(2))


def test_a_layer_that_computes_in_few_bits_gets_the_policy_of_its_dtype(tmp_path):
    class Mixed(layers.Layer):
        def __init__(self):
            super().__init__(dtype="float32")
            self.dense = layers.Dense(2, dtype="mixed_bfloat16")

        def call(self, z):
            few = self.dense(z)
            return ops.cast(few, "float32")

    model = wrap(sample=Mixed(), noise=zoo.Normal(2), space=zoo.Real(2))
    with pytest.raises(ExportError, match=r"`few = self.dense\(z\)` .* computes in bfloat16.*dtype policy \"float32\""):
        zoo.export(model, tmp_path / "artifact")


class Counted(layers.Layer):
    def __init__(self):
        super().__init__()
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, z):
        self.calls.assign_add(1.0)
        return z * self.calls


def stateful():
    lstm = layers.LSTM(2, stateful=True)
    return lambda z: lstm(z[:, None])


@pytest.mark.parametrize(("make", "names"), [(Counted, "Counted.calls"), (stateful, r"LSTM.states\[0\].*")])
def test_what_a_layer_remembers_is_named(make, names):
    with pytest.raises(InputError, match=f"remembers earlier calls: {names}.value changed"):
        wrap(sample=make(), noise=zoo.Normal(2), space=zoo.Real(2))


KERAS_DRAWS = {
    "normal": lambda shape, seed: keras.random.normal(shape, seed=seed),
    "uniform": lambda shape, seed: keras.random.uniform(shape, seed=seed),
    "randint": lambda shape, seed: ops.cast(keras.random.randint(shape, 0, 9, seed=seed), "float32"),
    "categorical": lambda shape, seed: ops.cast(keras.random.categorical(ops.ones(shape), 2, seed=seed), "float32"),
    "dropout": lambda shape, seed: keras.random.dropout(ops.ones(shape), 0.5, seed=seed),
    "shuffle": lambda shape, seed: keras.random.shuffle(ops.ones(shape), axis=1, seed=seed),
}


@pytest.mark.parametrize("draw", KERAS_DRAWS)
def test_a_draw_that_nothing_uses_is_no_fault(draw, tmp_path):
    class Encoder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds, self.net = keras.random.SeedGenerator(1), layers.Dense(2)

        def call(self, x):
            mean = self.net(x)
            return mean, mean + KERAS_DRAWS[draw](ops.shape(mean), self.seeds)

    net = Encoder()
    with pytest.raises(InputError, match="draws its own random numbers"):
        wrap(encode=lambda x: net(x)[1], space=zoo.Real(2))
    x = np.ones((4, 2), np.float32)
    model = wrap(encode=lambda x: net(x)[0], space=zoo.Real(2))
    zoo.export(model, tmp_path / "artifact", check="quick")
    for encode in (model.encode, zoo.open(tmp_path / "artifact", device="cpu").encode):
        np.testing.assert_allclose(encode(x), net.net(x).detach(), rtol=1e-4, atol=1e-6)


def test_leaving_the_framework_is_said_early():
    with pytest.raises(InputError, match="numpy array: operations outside the framework"):
        wrap(sample=lambda z: ops.convert_to_numpy(z), noise=zoo.Normal(2), space=zoo.Real(2))
    with pytest.raises(InputError, match=r"expected floats of shape \(N, 2\)"):
        wrap(sample=layers.Dense(3), noise=zoo.Normal(2), space=zoo.Real(2))


def test_a_module_of_pytorch_among_keras_layers():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.9)).train()
    model = wrap(sample=lambda z: net(z), noise=zoo.Normal(2), space=zoo.Real(2))
    np.testing.assert_allclose(
        model.sample(3, seed=0), net[0](torch.from_numpy(drawn(3, 0, zoo.Normal(2)))).detach(), rtol=1e-6
    )
    assert net.training


def test_a_model_of_several_inputs_needs_a_function():
    inputs = [keras.Input((5,)), keras.Input((1,))]
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(inputs)))
    with pytest.raises(InputError, match=r"sample=lambda z, label: model\(\[z, label\]\)"):
        wrap(sample=model, noise=NOISE, classes=3, space=zoo.Real(2))


# ---- whole models --------------------------------------------------------------------------------------------------


class Sampling(layers.Layer):
    """A draw of a VAE's latent, as in Keras's own example."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, log_var = inputs
        return mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean), seed=self.seeds)


class VAE(keras.Model):
    """As people write it: an encoder that gives mean, log-variance and a draw, a decoder, and a `train_step`."""

    def __init__(self):
        super().__init__()
        keras.utils.set_random_seed(0)
        x = keras.Input((8, 8, 1))
        h = layers.Dense(6, activation="relu")(layers.Flatten()(x))
        mean, log_var = layers.Dense(3)(h), layers.Dense(3)(h)
        self.encoder = keras.Model(x, [mean, log_var, Sampling()([mean, log_var])])
        z = keras.Input((3,))
        self.decoder = keras.Model(z, layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(z)))

    def train_step(self, data):
        raise NotImplementedError


class Subclassed(keras.Model):
    """An encoder and a decoder without declared inputs; the encoder gives the latent alone, or what `outputs` says."""

    def __init__(self, outputs=None):
        super().__init__()

        class Part(layers.Layer):
            def __init__(self, width, shape, outputs=None):
                super().__init__()
                self.dense, self.shaped, self.gives = layers.Dense(width, "sigmoid"), layers.Reshape(shape), outputs

            def call(self, x):
                y = self.shaped(self.dense(ops.reshape(x, (ops.shape(x)[0], -1))))
                return self.gives(y) if self.gives else y

        self.encoder, self.decoder = Part(3, (3,), outputs), Part(64, (8, 8, 1))


class GAN(keras.Model):
    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator


def critic():
    stack = [layers.Flatten(), layers.Dense(1, "sigmoid")]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack])


def classifier():
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, "softmax")])


def test_a_vae_with_its_draw(tmp_path):
    vae = VAE()
    model = wrap(vae, space=IMAGE)
    assert (model.name, model.meta["family"], set(model.methods)) == ("VAE", "vae", {"sample", "encode", "decode"})
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    x = artifact.sample(5, seed=3)
    z = drawn(5, 3, zoo.Normal(3))
    assert np.array_equal(x, levels(vae.decoder.predict(z, verbose=0), 0, 1))
    mean = vae.encoder.predict(x / np.float32(255), verbose=0)[0]
    np.testing.assert_allclose(artifact.encode(x), mean, rtol=1e-4, atol=1e-5)


def test_an_autoencoder_has_no_prior():
    model = wrap(Subclassed(), space=IMAGE, name="mine")
    assert (model.name, set(model.methods)) == ("mine", {"encode", "decode"})
    sampled = wrap(Subclassed(), noise=zoo.Normal(3), space=IMAGE)
    assert sampled.sample(2, seed=0).shape == (2, 8, 8, 1)
    two = wrap(Subclassed(lambda y: (y, -y)), space=IMAGE)
    assert two.encode(two.sample(4, seed=0)).shape == (4, 3)


def test_a_generator_and_a_discriminator(tmp_path):
    gan = GAN(functional(), critic())
    model = wrap(gan, noise=NOISE, space=IMAGE)
    assert (model.meta["family"], set(model.methods)) == ("gan", {"sample", "predict"})
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    x = artifact.sample(4, seed=1)
    assert np.array_equal(x, levels(gan.generator.predict(drawn(4, 1), verbose=0), -1, 1))
    scores = gan.discriminator.predict(x / np.float32(127.5) - 1, verbose=0)[:, 0]
    np.testing.assert_allclose(artifact.predict(x), scores, rtol=1e-4)


def test_what_stands_beside_a_model_tells_what_it_is():
    def denoiser():
        x = keras.Input((8, 8, 1))
        return keras.Model(x, layers.Conv2D(1, 3, padding="same")(x))

    class Timed(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = denoiser()

        def call(self, x, t):
            return self.net(x)

    signal = np.cumprod(1 - np.linspace(1e-4, 0.02, 100))
    for model, more, method in (
        (functional(), {"noise": NOISE}, "sample"),
        (classifier(), {"classes": list("abc"), "values": (0, 1)}, "predict"),
        (Timed(), {"schedule": signal, "length": 3}, "sample"),
    ):
        assert set(wrap(model, space=IMAGE, **more).methods) == {method}


@pytest.mark.parametrize(("model", "more", "message"), [
    (functional, {}, r"what a Functional does: name its role, as in wrap\(sample=model.*an encoder and a dec"),
    (classifier, {"decode": lambda z: z, "classes": 3}, "does not know what a Sequential does"),
    (lambda: GAN(functional(), critic()), {}, "sample= needs noise="),
    (lambda: GAN(functional(), critic()), {"noise": NOISE, "sample": functional()}, "sample= conflicts with a GAN"),
    (VAE, {"noise": zoo.Uniform(3)}, "noise= conflicts with a VAE"),
    (lambda: Subclassed(lambda y: (y, y[:, :1])), {}, r"neither a latent nor a mean .* encode=lambda x: model.encoder"),
    (lambda: Subclassed(lambda y: {"z": y}), {}, "neither a latent nor a mean"),
    (lambda: Subclassed(lambda y: y @ y), {}, r"the encoder fails .*: mat1 and mat2 .*\(test_wrap.py:\d+\)\. Say how"),
    (lambda: "vae", {}, "does not know what a str does"),
])  # fmt: skip
def test_whole_models_that_wrap_cannot_tell(model, more, message):
    with pytest.raises(InputError, match=message):
        wrap(model(), space=IMAGE, **more)


def test_the_prior_may_be_said_once_more():
    assert "sample" in wrap(VAE(), noise=zoo.Normal(3), family="vae", space=IMAGE).methods
