# mypy: ignore-errors
# Triton compiles these bodies: they look like Python, but a type checker cannot read them.
"""The GPU kernels, in Triton: what lies between the matrix products of a packed BERT.

Laws: sums, norms, softmax and GELU in fp32 whatever the precision of the weights; no kernel needs to know on the host
where a text begins, so that a recorded graph fits any mix of lengths. Rows behind the last text are written with
finite numbers and read by nobody.

Arguments are pointers to contiguous tensors, unless a `*_row` beside them says how far apart rows lie. Every shape is
in `operations.py`, which calls them. TRITON_INTERPRET=1 runs them on a CPU.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["texts"])
def embed_kernel(
    ids, bounds, second_starts, texts, words, positions, types, gain, shift, out, begins, ends,
    first_type, second_type, eps, hidden: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One token: find its text, add word, position and token type, normalise; and note where its text lies."""
    token = tl.program_id(0)
    columns = tl.arange(0, block)
    inside = columns < hidden
    total = tl.load(bounds + texts)
    if token < total:
        low = 0
        high = texts
        while low < high:  # the first text that ends behind this token
            middle = (low + high) // 2
            if tl.load(bounds + middle + 1) <= token:
                low = middle + 1
            else:
                high = middle
        begin = tl.load(bounds + low)
        position = token - begin
        kind = tl.where(position < tl.load(second_starts + low), first_type, second_type)
        x = tl.load(words + tl.load(ids + token) * hidden + columns, mask=inside, other=0.0).to(tl.float32)
        x += tl.load(types + kind * hidden + columns, mask=inside, other=0.0).to(tl.float32)
        x += tl.load(positions + position * hidden + columns, mask=inside, other=0.0).to(tl.float32)
        y = _normalised(x, inside, gain, shift, columns, eps, hidden)
        tl.store(out + token * hidden + columns, y.to(out.dtype.element_ty), mask=inside)
        tl.store(begins + token, begin)
        tl.store(ends + token, tl.load(bounds + low + 1))
    else:
        zeros = tl.zeros([block], tl.float32)
        tl.store(out + token * hidden + columns, zeros.to(out.dtype.element_ty), mask=inside)
        tl.store(begins + token, total)
        tl.store(ends + token, total)


@triton.jit(do_not_specialize=["rows"])
def add_norm_kernel(
    x, residual, gain, shift, out, rows, eps, hidden: tl.constexpr, block: tl.constexpr, row_block: tl.constexpr
):
    """`row_block` rows: LayerNorm(x + residual)."""
    places = tl.program_id(0) * row_block + tl.arange(0, row_block)
    columns = tl.arange(0, block)
    wide = columns < hidden
    inside = (places < rows)[:, None] & wide[None, :]
    at = places[:, None] * hidden + columns[None, :]
    total = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)  # (row_block, block)
    total += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
    centred = tl.where(wide[None, :], total - (tl.sum(total, 1) / hidden)[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / hidden + eps)
    weight = tl.load(gain + columns, mask=wide, other=0.0).to(tl.float32)
    y = centred * scale[:, None] * weight[None, :]
    y += tl.load(shift + columns, mask=wide, other=0.0).to(tl.float32)[None, :]
    tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["size"])
def bias_gelu_kernel(x, bias, size, width: tl.constexpr, block: tl.constexpr):
    """`block` numbers, in place: gelu(x + bias), the exact one."""
    places = tl.program_id(0) * block + tl.arange(0, block)
    inside = places < size
    value = tl.load(x + places, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + places % width, mask=inside, other=0.0).to(tl.float32)
    tl.store(x + places, _gelu(value).to(x.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def dense_gelu_kernel(
    x, weight, bias, out, rows, outputs: tl.constexpr, inputs: tl.constexpr,
    row_block: tl.constexpr, column_block: tl.constexpr, step: tl.constexpr,
):  # fmt: skip
    """One block of gelu(x @ weight.T + bias): a matrix product that does not write what GELU would read again.

    Blocks and steps divide `outputs` and `inputs`. A block that reaches behind the last row reads that row again, which
    costs less than a mask on every load.
    """
    places = tl.program_id(1) * row_block + tl.arange(0, row_block)
    columns = tl.program_id(0) * column_block + tl.arange(0, column_block)
    inner = tl.arange(0, step)
    from_x = x + tl.minimum(places, rows - 1)[:, None] * inputs + inner[None, :]
    from_weight = weight + columns[:, None] * inputs + inner[None, :]
    total = tl.zeros([row_block, column_block], tl.float32)
    for start in range(0, inputs, step):
        total = tl.dot(tl.load(from_x + start), tl.trans(tl.load(from_weight + start)), total, input_precision="ieee")
    total += tl.load(bias + columns).to(tl.float32)[None, :]
    tl.store(
        out + places[:, None] * outputs + columns[None, :],
        _gelu(total).to(out.dtype.element_ty),
        mask=(places < rows)[:, None],
    )


@triton.jit(do_not_specialize=["tokens"])
def attend_kernel(
    q, k, v, row, begins, ends, out, tokens, scale,
    heads: tl.constexpr, width: tl.constexpr, width_block: tl.constexpr,
    query_block: tl.constexpr, key_block: tl.constexpr,
):  # fmt: skip
    """Attention of `query_block` neighbouring tokens, of whatever texts, over the tokens of these texts, in one head.

    The blocks go over the run of tokens and not over the texts: short texts share a block, and there are exactly as
    many blocks as the tokens fill. `scale` includes log2(e).
    """
    places = tl.program_id(0) * query_block + tl.arange(0, query_block)
    head = tl.program_id(1)
    dims = tl.arange(0, width_block)
    here = places < tokens
    wide = dims < width
    begin = tl.load(begins + places, mask=here, other=2147483647)
    end = tl.load(ends + places, mask=here, other=0)
    first = tl.min(begin, 0)
    stop = tl.max(end, 0)
    columns = head * width + dims
    queries = tl.load(
        q + places[:, None] * row + columns[None, :], mask=here[:, None] & wide[None, :], other=0.0
    )  # (query_block, width_block)
    # Below every score that a sane model gives, and so far above what stands for "not of this text" that 2^x makes 0 of
    # the difference: no share has to be masked again.
    best = tl.full([query_block], -1.0e20, tl.float32)
    weight = tl.zeros([query_block], tl.float32)
    total = tl.zeros([query_block, width_block], tl.float32)
    for start in range(first, stop, key_block):
        others = start + tl.arange(0, key_block)
        inside = (others < stop)[:, None] & wide[None, :]
        keys = tl.load(k + others[:, None] * row + columns[None, :], mask=inside, other=0.0)
        values = tl.load(v + others[:, None] * row + columns[None, :], mask=inside, other=0.0)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee")  # (query_block, key_block)
        own = (others[None, :] >= begin[:, None]) & (others[None, :] < end[:, None])
        scores = tl.where(own, scores, -1.0e30)
        new_best = tl.maximum(best, tl.max(scores, 1) * scale)
        shares = tl.exp2(scores * scale - new_best[:, None])
        keep = tl.exp2(best - new_best)
        weight = weight * keep + tl.sum(shares, 1)
        total = total * keep[:, None]
        total += tl.dot(shares.to(values.dtype), values, input_precision="ieee")
        best = new_best
    total = total / tl.where(weight > 0.0, weight, 1.0)[:, None]
    tl.store(
        out + places[:, None] * (heads * width) + columns[None, :],
        total.to(out.dtype.element_ty),
        mask=here[:, None] & wide[None, :],
    )


@triton.jit
def attend_once_kernel(
    q, k, v, row, bounds, out, scale,
    heads: tl.constexpr, width: tl.constexpr, width_block: tl.constexpr, key_block: tl.constexpr,
):  # fmt: skip
    """Attention of one query per text over the text's tokens, in one head. `scale` includes log2(e)."""
    text = tl.program_id(0)
    head = tl.program_id(1)
    dims = tl.arange(0, width_block)
    wide = dims < width
    columns = head * width + dims
    begin = tl.load(bounds + text)
    end = tl.load(bounds + text + 1)
    query = tl.load(q + text * (heads * width) + columns, mask=wide, other=0.0).to(tl.float32) * scale
    best = tl.full([1], -1.0e30, tl.float32)
    weight = tl.zeros([1], tl.float32)
    total = tl.zeros([width_block], tl.float32)
    for start in range(begin, end, key_block):
        others = start + tl.arange(0, key_block)
        inside = (others < end)[:, None] & wide[None, :]
        keys = tl.load(k + others[:, None] * row + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        values = tl.load(v + others[:, None] * row + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        scores = tl.where(others < end, tl.sum(keys * query[None, :], 1), -1.0e30)
        new_best = tl.maximum(best, tl.max(scores, 0))
        shares = tl.where(others < end, tl.exp2(scores - new_best), 0.0)
        keep = tl.exp2(best - new_best)
        weight = weight * keep + tl.sum(shares, 0)
        total = total * keep + tl.sum(shares[:, None] * values, 0)
        best = new_best
    total = total / tl.where(weight > 0.0, weight, 1.0)
    tl.store(out + text * (heads * width) + columns, total.to(out.dtype.element_ty), mask=wide)


@triton.jit
def read_once_kernel(
    queries, text_row, head_row, states, bounds, out,
    heads: tl.constexpr, head_block: tl.constexpr, hidden: tl.constexpr, block: tl.constexpr, key_block: tl.constexpr,
):  # fmt: skip
    """For one text, every head's weighted mean of the states of its tokens; a query per head says what weighs how much.

    A head's query is as wide as a state here and includes its scale and log2(e).
    """
    text = tl.program_id(0)
    rows = tl.arange(0, head_block)
    dims = tl.arange(0, block)
    begin = tl.load(bounds + text)
    end = tl.load(bounds + text + 1)
    inside = (rows < heads)[:, None] & (dims < hidden)[None, :]
    at = queries + text * text_row + rows[:, None] * head_row + dims[None, :]
    query = tl.load(at, mask=inside, other=0.0)  # (head_block, block)
    best = tl.full([head_block], -1.0e30, tl.float32)
    weight = tl.zeros([head_block], tl.float32)
    total = tl.zeros([head_block, block], tl.float32)
    for start in range(begin, end, key_block):
        others = start + tl.arange(0, key_block)
        here = others < end
        x = tl.load(
            states + others[:, None] * hidden + dims[None, :], mask=here[:, None] & (dims < hidden)[None, :], other=0.0
        )  # (key_block, block)
        scores = tl.where(here[None, :], tl.dot(query, tl.trans(x), input_precision="ieee"), -1.0e30)
        new_best = tl.maximum(best, tl.max(scores, 1))
        shares = tl.where(here[None, :], tl.exp2(scores - new_best[:, None]), 0.0)
        keep = tl.exp2(best - new_best)
        weight = weight * keep + tl.sum(shares, 1)
        total = total * keep[:, None]
        total += tl.dot(shares.to(x.dtype), x, input_precision="ieee")
        best = new_best
    total = total / tl.where(weight > 0.0, weight, 1.0)[:, None]
    tl.store(
        out + text * heads * hidden + rows[:, None] * hidden + dims[None, :],
        total.to(out.dtype.element_ty),
        mask=inside,
    )


@triton.jit
def max_similarity_kernel(
    states, bounds, queries, texts, out, before, after, share, pools_mean: tl.constexpr,
    hidden: tl.constexpr, part: tl.constexpr, query_block: tl.constexpr, text_block: tl.constexpr,
):  # fmt: skip
    """One pair: the mean, over the query's inner tokens, of the best cosine with an inner token of the text, plus
    `share` times the cosine of the two pooled vectors.

    `states` is (tokens, hidden); `queries` and `texts` say which of the packed texts are the pair's. `before` and
    `after` count the special tokens around the inner ones. Where one side has no inner token nothing matches: 0.
    """
    pair = tl.program_id(0)
    query = tl.load(queries + pair)
    text = tl.load(texts + pair)
    query_begin = tl.load(bounds + query)
    query_end = tl.load(bounds + query + 1)
    text_begin = tl.load(bounds + text)
    text_end = tl.load(bounds + text + 1)
    matched = 0.0
    for query_start in range(query_begin + before, query_end - after, query_block):
        rows = query_start + tl.arange(0, query_block)
        is_query = rows < query_end - after
        best = tl.full([query_block], -1.0e30, tl.float32)
        for text_start in range(text_begin + before, text_end - after, text_block):
            columns = text_start + tl.arange(0, text_block)
            is_text = columns < text_end - after
            dots = tl.zeros([query_block, text_block], tl.float32)
            query_squares = tl.zeros([query_block], tl.float32)
            text_squares = tl.zeros([text_block], tl.float32)
            for first in range(0, hidden, part):
                dims = first + tl.arange(0, part)
                wide = dims < hidden
                a = tl.load(
                    states + rows[:, None] * hidden + dims[None, :], mask=is_query[:, None] & wide[None, :], other=0.0
                )
                b = tl.load(
                    states + columns[:, None] * hidden + dims[None, :], mask=is_text[:, None] & wide[None, :], other=0.0
                )
                dots = tl.dot(a, tl.trans(b), dots, input_precision="ieee")
                query_squares += tl.sum(a.to(tl.float32) * a.to(tl.float32), 1)
                text_squares += tl.sum(b.to(tl.float32) * b.to(tl.float32), 1)
            cosines = dots / tl.maximum(tl.sqrt(query_squares[:, None] * text_squares[None, :]), 1.0e-12)
            best = tl.maximum(best, tl.max(tl.where(is_text[None, :], cosines, -1.0e30), 1))
        matched += tl.sum(tl.where(is_query & (best > -1.0e29), best, 0.0), 0)
    inner = tl.maximum(query_end - query_begin - before - after, 1)
    dot = 0.0
    query_square = 0.0
    text_square = 0.0
    for first in range(0, hidden, part):
        dims = first + tl.arange(0, part)
        a = _pooled(states, query_begin, query_end, dims, hidden, part, text_block, pools_mean)
        b = _pooled(states, text_begin, text_end, dims, hidden, part, text_block, pools_mean)
        dot += tl.sum(a * b, 0)
        query_square += tl.sum(a * a, 0)
        text_square += tl.sum(b * b, 0)
    cosine = dot / tl.maximum(tl.sqrt(query_square * text_square), 1.0e-12)
    tl.store(out + pair, matched / inner.to(tl.float32) + share * cosine)


@triton.jit
def _pooled(
    states, begin, end, dims, hidden: tl.constexpr, part: tl.constexpr, block: tl.constexpr, pools_mean: tl.constexpr
):
    """Some dimensions of the mean state of a text, or of its first one. (part,)"""
    wide = dims < hidden
    if pools_mean:
        total = tl.zeros([part], tl.float32)
        for start in range(begin, end, block):
            rows = start + tl.arange(0, block)
            inside = (rows < end)[:, None] & wide[None, :]
            x = tl.load(states + rows[:, None] * hidden + dims[None, :], mask=inside, other=0.0)
            total += tl.sum(x.to(tl.float32), 0)
        pooled = total / tl.maximum(end - begin, 1).to(tl.float32)
    else:
        pooled = tl.load(states + begin * hidden + dims, mask=wide & (begin + dims * 0 < end), other=0.0).to(tl.float32)
    return pooled


@triton.jit
def _normalised(x, inside, gain, shift, columns, eps, hidden: tl.constexpr):
    """LayerNorm of one row, of which the columns `inside` exist."""
    centred = tl.where(inside, x - tl.sum(x, 0) / hidden, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / hidden + eps)
    weight = tl.load(gain + columns, mask=inside, other=0.0).to(tl.float32)
    return centred * scale * weight + tl.load(shift + columns, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _gelu(x):
    """0.5 x (1 + erf(x / sqrt 2)), erf to 1.5e-7 (Abramowitz and Stegun 7.1.26): half the work of the library's."""
    z = tl.abs(x) * 0.7071067811865476
    t = 1.0 / (1.0 + 0.3275911 * z)
    series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    half = 0.5 * series * tl.exp2(z * z * -1.4426950408889634)  # (1 - erf z) / 2
    return x * tl.where(x < 0.0, half, 1.0 - half)
