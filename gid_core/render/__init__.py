"""From a still and a displacement to frames: softmax splatting of a foreground layer, and a
network.

In: a still, a displacement, a matte. Out: frames, and what was disoccluded in each of them.
Law: where nothing moves and nothing lands, the frame is the still, bit for bit, trained or not.
"""
