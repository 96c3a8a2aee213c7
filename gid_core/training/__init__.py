"""Training: data, objectives, one loop, and the shards and workers that make large sets of clips.

In: scenes, photographs, clips. Out: a folder with weights, state and log; called again, it goes on.
Law: a run that was stopped and goes on ends in the weights of one that was not.
"""
