"""Prints the tables of tests/optim/*.cpp from torch's AdamW and clip_grad_norm_ and transformers' schedules.

    python tests/optim/make_golden.py
"""
import torch
import transformers

# Exact in f32, of very different sizes, one of them zero.
START = [0.5, -1.25, 2.0, -0.03125, 0.0, 8.0]
GRADIENTS = [[0.25, -0.5, 0.0, 1e-4, -3.0, 40.0], [-0.125, -0.5, 0.75, 2e-4, 0.0, -20.0], [1.0, 0.25, -0.5, -1e-4, 3.0, 5.0]]
LEARNING_RATES = [0.01, 0.002, 0.03]


def row(values):
    return "{" + ", ".join(repr(float(v)) for v in values) + "},"


def adamw(name, dtype, clip, **config):
    parameter = torch.tensor(START, dtype=dtype, requires_grad=True)
    optimizer = torch.optim.AdamW([parameter], **config)
    norms = []
    print(f"// {name}: {config}, clip {clip}")
    for gradient, lr in zip(GRADIENTS, LEARNING_RATES):
        parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.param_groups[0]["lr"] = lr
        if clip:
            norms.append(torch.nn.utils.clip_grad_norm_([parameter], clip).item())
        optimizer.step()
        print(row(parameter.detach().tolist()))
    print("// norms", row(norms))


adamw("defaults", torch.float64, 0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
adamw("all options", torch.float64, 0, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)
adamw("clipped", torch.float64, 1.5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)


def schedule(name, make):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = make(optimizer)
    values = []
    for _ in range(12):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    print(f"// {name}")
    print(row(values))


schedule("constant, W 0", transformers.get_constant_schedule)
schedule("constant, W 3", lambda o: transformers.get_constant_schedule_with_warmup(o, 3))
schedule("linear, W 0, N 10", lambda o: transformers.get_linear_schedule_with_warmup(o, 0, 10))
schedule("linear, W 3, N 10", lambda o: transformers.get_linear_schedule_with_warmup(o, 3, 10))
schedule("linear, W 10, N 10", lambda o: transformers.get_linear_schedule_with_warmup(o, 10, 10))
schedule("cosine, W 0, N 10", lambda o: transformers.get_cosine_schedule_with_warmup(o, 0, 10))
schedule("cosine, W 3, N 10", lambda o: transformers.get_cosine_schedule_with_warmup(o, 3, 10))
print(f"// torch {torch.__version__}, transformers {transformers.__version__}")
