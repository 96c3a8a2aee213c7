"""Training: data, objectives, one loop, and the shards and workers that make large sets of clips.

In: scenes, photographs, clips. Out: a folder with weights, state and log; the same call resumes it.
Law: a run that was stopped and resumed ends with the same weights as one that was not.
"""
