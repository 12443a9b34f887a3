"""Run by test_encoders_host.py in a process of its own: what ComfyUI's loaders make of an OpenCLIP file.

usage: comfyui_encoders.py COMFYUI CLIP_FILE PICTURE RESULT, the last two safetensors files.
"""

import sys

comfyui, clip_file, picture_file, result_file = sys.argv[1:]
sys.argv = sys.argv[:1]  # ComfyUI reads its own options there
sys.path.insert(0, comfyui)

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True  # before anything looks for a GPU

import comfy.clip_vision  # noqa: E402
import comfy.sd  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

picture = load_file(picture_file)["picture"]
image = comfy.clip_vision.load(clip_file).encode_image(picture.movedim(1, -1))["image_embeds"]
clip = comfy.sd.load_clip([clip_file])
text = clip.encode_from_tokens(clip.tokenize(""))
save_file({"image": image.contiguous(), "text": text.contiguous()}, result_file)
