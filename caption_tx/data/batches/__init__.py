"""tf.data pipelines: features or images plus captions become batches of packed rows."""
