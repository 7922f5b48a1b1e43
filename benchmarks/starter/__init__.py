"""How the starter cross-encoder was made: text under open licences -> lists -> the floor's scores -> a small model.

material    (query, passages) lists out of openly licensed text, with hits of BM25 as the passages to tell apart
teacher     the untrained late interaction's score of every passage of a list
training    a BERT cross-encoder that learns to order each list as the teacher does, and its own passage first
forward     its forward pass, without padding
packing     what is shipped: the difference to the trunk as low-rank matrices, and the head
__main__    the steps in order, each of which goes on where it was stopped
"""
