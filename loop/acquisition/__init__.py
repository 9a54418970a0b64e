"""Acquisition functions: what a candidate point is worth. One file per family; `registry` finds them by name.

One of your own is a BoTorch acquisition function whose constructor takes the model, the context (see `context`) and its
options. Put it into a file, say ``my_module.py``, and name it in the campaign as ``my_module:MyAcquisition``::

    from botorch.acquisition import AcquisitionFunction
    from botorch.utils.transforms import t_batch_mode_transform


    class MyAcquisition(AcquisitionFunction):
        def __init__(self, model, context, weight=1.0):
            super().__init__(model=model)
            self.weight = weight
            self.transform = context.posterior_transform

        @t_batch_mode_transform(expected_q=1)
        def forward(self, X):
            posterior = self.model.posterior(X, posterior_transform=self.transform)
            return (posterior.mean + self.weight * posterior.variance.sqrt())[..., 0, 0]

``testing.problems("my_module:MyAcquisition")`` says in plain sentences what is wrong with it.

Nothing is imported here, so that asking for the names alone does not load torch.
"""
