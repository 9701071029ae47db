"""Makes TensorFlow's example half_plus_two as a SavedModel: y = 0.5 x + 2.

Run once when the image is made: model.py FOLDER, such as /models/half_plus_two/1.
"""

import sys

import tensorflow as tf


class HalfPlusTwo(tf.Module):
    def __init__(self):
        super().__init__()
        self.a = tf.Variable(0.5, name="a")
        self.b = tf.Variable(2.0, name="b")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def predict(self, x):
        return {"y": self.a * x + self.b}


model = HalfPlusTwo()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.predict})
