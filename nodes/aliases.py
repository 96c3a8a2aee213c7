"""Words that people type in three languages, for the search aliases of several nodes."""

SWAY = "风", "风吹", "摇摆", "風", "揺れ"  # wind, blown by wind, sway
LOOP = "seamless loop", "循环", "ループ"
VIDEO = "image to video", "still to video", "video from image", "gif"
