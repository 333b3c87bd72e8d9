"""picture.py WIDTH HEIGHT FILE: a JPEG with gradients and grain, as a camera's is."""

import sys

from PIL import Image

width, height, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
across = Image.linear_gradient("L").rotate(90).resize((width, height))
down = Image.linear_gradient("L").resize((width, height))
# Smooth pictures compress and decode too well.
grain = Image.effect_noise((width, height), 40)
shades = (across, down, across.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
Image.merge("RGB", [Image.blend(shade, grain, 0.3) for shade in shades]).save(path, quality=90)
