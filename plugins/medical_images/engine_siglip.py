"""SigLIP's two towers on MLX, with the weight names of Hugging Face's ``SiglipModel``, which is how MedSigLIP ships.

Sources: Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023); Dosovitskiy et al., "An Image is Worth 16x16
Words" (2021); the pooling head is Lee et al., "Set Transformer" (2019), with one learnt probe. Embeddings for single places
of a picture follow Zhou et al., "Extract Free Dense Labels from CLIP" (2022): a patch goes through the pooling head alone.
"""

# mypy: disallow-subclassing-any=False
# MLX's modules carry no types.

from __future__ import annotations

import mlx.core as mx
from mlx import nn

from plugins.medical_images.shape import SiglipShape, TextShape, TowerShape, VisionShape


class Mlp(nn.Module):
    """Two layers with GELU in its tanh form."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.fc2 = nn.Linear(shape.intermediate_size, shape.hidden_size)

    def __call__(self, x: mx.array) -> mx.array:
        out: mx.array = self.fc2(nn.gelu_approx(self.fc1(x)))
        return out


class Attention(nn.Module):
    """Everything sees everything: SigLIP's text has no mask, its padding was there in training too."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.heads = shape.num_attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(shape.hidden_size, shape.hidden_size) for _ in range(4)
        )

    def __call__(self, x: mx.array) -> mx.array:
        mixed: mx.array = self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads))
        return mixed


class Layer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.self_attn = Attention(shape)
        self.layer_norm2 = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.mlp = Mlp(shape)

    def __call__(self, x: mx.array) -> mx.array:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    """The layers, one after another."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.layers = [Layer(shape) for _ in range(shape.num_hidden_layers)]

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers:
            x = layer(x)
        return x


class PackedAttention(nn.Module):
    """PyTorch's ``MultiheadAttention`` with its three projections in one matrix of shape (3 x width, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = mx.zeros((3 * width, width))
        self.in_proj_bias = mx.zeros((3 * width,))
        self.out_proj = nn.Linear(width, width)

    def project(self, x: mx.array, part: int) -> mx.array:
        """Query (0), key (1) or value (2) of ``x``."""
        width = x.shape[-1]
        rows = slice(part * width, (part + 1) * width)
        return x @ self.in_proj_weight[rows].T + self.in_proj_bias[rows]


class PoolingHead(nn.Module):
    """One learnt probe looks at all patches and takes along what it finds."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.heads = shape.num_attention_heads
        self.probe = mx.zeros((1, 1, shape.hidden_size))
        self.attention = PackedAttention(shape.hidden_size)
        self.layernorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.mlp = Mlp(shape)

    def __call__(self, patches: mx.array) -> mx.array:
        """(pictures, patches, width) → (pictures, width)."""
        query = mx.broadcast_to(self.attention.project(self.probe, 0), (patches.shape[0], 1, patches.shape[2]))
        keys, values = self.attention.project(patches, 1), self.attention.project(patches, 2)
        return self._finish(attend(query, keys, values, self.heads))[:, 0]

    def each_alone(self, patches: mx.array) -> mx.array:
        """What the head would say if it saw one patch only: (pictures, patches, width), in the pooled embedding's space."""
        return self._finish(self.attention.project(patches, 2))

    def _finish(self, seen: mx.array) -> mx.array:
        x = self.attention.out_proj(seen)
        finished: mx.array = x + self.mlp(self.layernorm(x))
        return finished


class PatchEmbeddings(nn.Module):
    """A picture cut into patches; the strided convolution is a matrix product here, which reaches the BLAS on a CPU."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.patch, self.side = shape.patch_size, shape.side
        self.patch_embedding = nn.Linear(shape.patch_size**2 * shape.num_channels, shape.hidden_size)
        self.position_embedding = nn.Embedding(shape.side**2, shape.hidden_size)

    def __call__(self, pixels: mx.array) -> mx.array:
        count, channels, edge = pixels.shape[0], pixels.shape[3], self.side * self.patch
        grid = pixels[:, :edge, :edge].reshape(count, self.side, self.patch, self.side, self.patch, channels)
        patches = grid.transpose(0, 1, 3, 2, 4, 5).reshape(count, self.side**2, -1)
        embedded: mx.array = self.patch_embedding(patches) + self.position_embedding.weight
        return embedded


class VisionTower(nn.Module):
    """Pictures to patches, and patches to one embedding; without a ``head`` (Gemma 3 has none) only the former."""

    def __init__(self, shape: VisionShape, *, head: bool = True) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(shape)
        self.encoder = Encoder(shape)
        self.post_layernorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        if head:
            self.head = PoolingHead(shape)

    def __call__(self, pixels: mx.array) -> mx.array:
        """(pictures, height, width, RGB) in the model's range → (pictures, patches, width)."""
        patches: mx.array = self.post_layernorm(self.encoder(self.embeddings(pixels)))
        return patches


class TokenEmbeddings(nn.Module):
    """Tokens and their places."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position_embedding = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)

    def __call__(self, tokens: mx.array) -> mx.array:
        embedded: mx.array = self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]
        return embedded


class TextTower(nn.Module):
    """Sentences, padded to the full length, to one embedding: that of the last place."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.embeddings = TokenEmbeddings(shape)
        self.encoder = Encoder(shape)
        self.final_layer_norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.head = nn.Linear(shape.hidden_size, shape.projection_size or shape.hidden_size)

    def __call__(self, tokens: mx.array) -> mx.array:
        """(sentences, length) → (sentences, projection)."""
        pooled: mx.array = self.head(self.final_layer_norm(self.encoder(self.embeddings(tokens))[:, -1]))
        return pooled


class Siglip(nn.Module):
    """Both towers, and how a product of their embeddings becomes a logit."""

    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.vision_model = VisionTower(shape.vision_config)
        self.text_model = TextTower(shape.text_config)
        self.logit_scale = mx.zeros((1,))
        self.logit_bias = mx.zeros((1,))

    def patches(self, pixels: mx.array) -> mx.array:
        """(pictures, height, width, RGB) → (pictures, patches, width), before pooling."""
        return self.vision_model(pixels)

    def pooled(self, patches: mx.array) -> mx.array:
        """One embedding of length 1 for each picture: (pictures, width)."""
        return unit(self.vision_model.head(patches))

    def places(self, patches: mx.array) -> mx.array:
        """One embedding of length 1 for each patch, row by row from the upper left: (pictures, patches, width)."""
        return unit(self.vision_model.head.each_alone(patches))

    def sentences(self, tokens: mx.array) -> mx.array:
        """One embedding of length 1 for each sentence: (sentences, width)."""
        return unit(self.text_model(tokens))

    def logits(self, pictures: mx.array, sentences: mx.array) -> mx.array:
        """(…, width) and (sentences, width) → (…, sentences); the sigmoid of one is SigLIP's own, uncalibrated, match."""
        return pictures @ sentences.T * mx.exp(self.logit_scale) + self.logit_bias


def attend(query: mx.array, keys: mx.array, values: mx.array, heads: int) -> mx.array:
    """Scaled dot-product attention without a mask; all of shape (rows, places, width)."""
    rows, places, width = query.shape
    parts = [part.reshape(rows, part.shape[1], heads, -1).transpose(0, 2, 1, 3) for part in (query, keys, values)]
    mixed = mx.fast.scaled_dot_product_attention(*parts, scale=(width // heads) ** -0.5)
    return mixed.transpose(0, 2, 1, 3).reshape(rows, places, width)


def unit(x: mx.array) -> mx.array:
    """``x`` with length 1 along its last axis, computed in fp32."""
    wide = x.astype(mx.float32)
    return wide / mx.linalg.norm(wide, axis=-1, keepdims=True)
