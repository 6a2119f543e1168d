"""An LSTM language model over characters (Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Graves,
"Generating Sequences With Recurrent Neural Networks", arXiv 1308.0850; Foster, *Generative Deep Learning*, 2nd ed.,
ch. 5), with one dropout mask for all steps of a string (Gal and Ghahramani, arXiv 1512.05287)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Labels, Space, Strings
from zoo_keras.backend import layers, ops
from zoo_keras.network import KerasNetwork

State = dict[str, Any]


@dataclass(frozen=True)
class Config:
    embedding: int = setting(32, "features of a character")
    hidden: int = setting(96, "units of the LSTM")
    dropout: float = setting(0.3, "share of features that a training step drops")


class LSTM(KerasNetwork):
    """One cell that reads the last character and predicts the logits of the next. Token 0 starts and ends a string.

    >>> import zoo
    >>> model = zoo.train("lstm", "names", "runs/lstm", epochs=1)
    >>> model.log_prob(["anna", "xqzw"]).argmax()
    np.int64(0)
    >>> len(model.space.decode(model.sample(3, seed=7)))
    3
    """

    Config = Config
    spaces = (Strings,)
    recipe = Recipe(epochs=120, batch_size=128, learning_rate=5e-3, weight_decay=1e-2, clip=1.0, ema=0.99, patience=15)
    density = "exact"

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.embedding = layers.Embedding(space.tokens, config.embedding)
        self.cell = layers.LSTMCell(config.hidden)
        self.head = layers.Dense(space.tokens)

    def start(self, example: Any) -> State:
        """The state before the first character; `example` is any tensor with one row per example."""
        token = ops.cast(ops.reshape(example, (example.shape[0], -1))[:, 0] * 0, "int64")
        zeros = ops.cast(token[:, None], "float32") + ops.zeros((1, self.config.hidden))
        return {"h": zeros, "c": zeros, "token": token, "ended": token != 0}

    def advance(self, state: State) -> tuple[Any, State]:
        """Logits (N, tokens) of the next character, and the cell's new state."""
        # Keras's own look-up and sum cast to int32 and back in each step
        seen = torch.embedding(ops.convert_to_tensor(self.embedding.embeddings), state["token"])
        _, (h, c) = self.cell(seen, [state["h"], state["c"]])
        return self.head(h), {"h": h, "c": c}

    # ---- sample ------------------------------------------------------------------------------------------------

    def sample_init(self, index: Any, temperature: Any) -> State:
        state = self.start(index)
        return {**state, "x": state["token"][:, None] + ops.zeros((1, self.space.length), dtype="int64")}

    def sample_step(self, i: Any, state: State, u: Any, temperature: Any) -> State:
        logits, memory = self.advance(state)
        below = ops.cumsum(ops.softmax(logits / temperature, axis=-1), axis=-1)[:, :-1] < u[:, None]  # inverse CDF
        token = ops.where(state["ended"], 0, torch.sum(below, -1))
        here = ops.arange(self.space.length, dtype="int64")[None] == i
        return {**memory, "token": token, "ended": token == 0, "x": ops.where(here, token[:, None], state["x"])}

    # ---- log_prob ----------------------------------------------------------------------------------------------

    def score_init(self, index: Any, x: Any) -> State:
        return {**self.start(x), "conditionals": ops.cast(x * 0, "float32")}

    def score_step(self, i: Any, state: State, x: Any) -> State:
        logits, memory = self.advance(state)
        token = torch.index_select(x, 1, ops.reshape(i, (1,)))
        gain = torch.gather(logits, -1, token)[:, 0] - ops.logsumexp(logits, axis=-1)
        token = token[:, 0]
        gain = ops.where(state["ended"], 0.0, gain)  # nothing follows the end
        here = ops.arange(self.space.length, dtype="int64")[None] == i
        conditionals = ops.where(here, gain[:, None], state["conditionals"])
        return {**memory, "token": token, "ended": token == 0, "conditionals": conditionals}

    def score(self, state: State) -> State:
        """Nats of each character given those before it, and their sum."""
        return {"log_prob": ops.sum(state["conditionals"], axis=1), "conditionals": state["conditionals"]}

    def methods(self) -> dict[str, Method]:
        x, hidden = self.space.tensor, Tensor("float32", (self.config.hidden,))
        state = {"h": hidden, "c": hidden, "token": Tensor("int64"), "ended": Tensor("bool")}
        sample = Loop(
            self.space.length,
            self.sample_init,
            self.sample_step,
            lambda state: state["x"],
            state={**state, "x": x},
            outputs={"x": x},
            noise={"u": Noise("uniform")},
            options={"temperature": Option(1.0, low=0.01, help="below 1: likelier strings, above: more varied ones")},
            until=lambda state: ops.all(state["ended"]),
        )
        conditionals = Tensor("float32", (self.space.length,))
        log_prob = Loop(
            self.space.length,
            self.score_init,
            self.score_step,
            self.score,
            state={**state, "conditionals": conditionals},
            inputs={"x": x},
            outputs={"log_prob": Tensor("float32"), "conditionals": conditionals},
            until=lambda state: ops.all(state["ended"]),
        )
        return {"sample": sample, "log_prob": log_prob}

    # ---- training ----------------------------------------------------------------------------------------------

    def nll(self, x: Any, u: Any, v: Any, w: Any) -> Any:
        """The whole string at once, except for the cell, which is unrolled. High uniforms `u`, `v` and `w` drop
        features of the inputs, the memory and the outputs."""
        previous = ops.concatenate([x[:, :1] * 0, x[:, :-1]], axis=1)
        inputs, state, outputs = self.embedding(previous) * self.mask(u)[:, None], self.start(x), []
        memory, kept = [state["h"], state["c"]], self.mask(v)
        for t in range(self.space.length):
            h, memory = self.cell(inputs[:, t], [memory[0] * kept, memory[1]])
            outputs.append(h)
        logits = ops.cast(self.head(ops.stack(outputs, axis=1) * self.mask(w)[:, None]), "float32")
        gain = torch.gather(logits, -1, x[..., None])[..., 0] - ops.logsumexp(logits, axis=-1)
        alive = ops.concatenate([x[:, :1] * 0 + 1, ops.cast(x[:, :-1] != 0, "int64")], axis=1)
        return -ops.sum(ops.where(alive == 1, gain, 0.0), axis=1)

    def mask(self, u: Any) -> Any:
        keep = 1 - self.config.dropout
        return ops.cast(u < keep, "float32") / keep if self.training else ops.ones_like(u)

    def objectives(self) -> dict[str, Objective]:
        memory = Noise("uniform", (self.config.hidden,))
        noise = {"u": Noise("uniform", (self.config.embedding,)), "v": memory, "w": memory}
        return {"nll": Objective(Call(self.nll, {"x": self.space.tensor}, {"loss": Tensor("float32")}, noise))}
