"""Run by test_encoders_host.py in a process of its own: what ComfyUI's loaders and our nodes make of an OpenCLIP file.

usage: comfyui_encoders.py COMFYUI PACK CLIP_FILE PICTURE RESULT, the last two safetensors files.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

comfyui, pack, clip_file, picture_file, result_file = sys.argv[1:]
sys.argv = sys.argv[:1]  # ComfyUI reads its own options there
sys.path.insert(0, comfyui)

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True  # before anything looks for a GPU

import comfy.clip_vision  # noqa: E402
import comfy.sd  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402


def by_comfyui(square, picture):
    image = comfy.clip_vision.load(clip_file).encode_image(square.movedim(1, -1))["image_embeds"]
    clip = comfy.sd.load_clip([clip_file])
    return image, clip.encode_from_tokens(clip.tokenize(""))


def by_our_nodes(square, picture):
    spec = importlib.util.spec_from_file_location(
        "unianimate_pack", Path(pack) / "__init__.py", submodule_search_locations=[pack]
    )
    sys.modules["unianimate_pack"] = importlib.util.module_from_spec(spec)
    conditioning = importlib.import_module("unianimate_pack.nodes.conditioning")
    clip, clip_vision = importlib.import_module("unianimate_pack.nodes.loading").load_clip(clip_file)
    released = SimpleNamespace(context_dim=1024)
    image = conditioning.embed_picture(clip_vision, released, picture.movedim(1, -1), 512, 768, "crop")
    return image[0], conditioning.empty_prompt(clip, released)


pictures = load_file(picture_file)
results = {}
for name, encode in (("comfyui", by_comfyui), ("nodes", by_our_nodes)):
    image, text = encode(pictures["square"], pictures["picture"])
    results |= {f"{name}_image": image.float().contiguous(), f"{name}_text": text.float().contiguous()}
save_file(results, result_file)
