"""Run by test_encoders_host.py in a process of its own: what ComfyUI's loaders and our nodes make of an OpenCLIP file.

usage: comfyui_encoders.py COMFYUI PACK CLIP_FILE IMAGE RESULT, the last two safetensors files.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

comfyui, pack, clip_file, image_file, result_file = sys.argv[1:]
sys.argv = sys.argv[:1]  # ComfyUI reads its own options there
sys.path.insert(0, comfyui)

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True  # before anything looks for a GPU

import comfy.clip_vision  # noqa: E402
import comfy.sd  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402


def by_comfyui(square, image):
    embedding = comfy.clip_vision.load(clip_file).encode_image(square.movedim(1, -1))["image_embeds"]
    clip = comfy.sd.load_clip([clip_file])
    return embedding, clip.encode_from_tokens(clip.tokenize(""))


def by_our_nodes(square, image):
    spec = importlib.util.spec_from_file_location(
        "unianimate_pack", Path(pack) / "__init__.py", submodule_search_locations=[pack]
    )
    sys.modules["unianimate_pack"] = importlib.util.module_from_spec(spec)
    conditioning = importlib.import_module("unianimate_pack.nodes.conditioning")
    clip, clip_vision = importlib.import_module("unianimate_pack.nodes.loading").load_clip(clip_file)
    frame = importlib.import_module("unianimate_pack.unianimate_core.media.images").frame
    released = SimpleNamespace(context_dim=1024)
    embedding = conditioning.embed_image(clip_vision, released, frame(image.movedim(1, -1), 512, 768, "crop"))
    return embedding[0], conditioning.empty_prompt(clip, released)


images = load_file(image_file)
results = {}
for name, encode in (("comfyui", by_comfyui), ("nodes", by_our_nodes)):
    embedding, text = encode(images["square"], images["image"])
    results |= {f"{name}_image": embedding.float().contiguous(), f"{name}_text": text.float().contiguous()}
save_file(results, result_file)
