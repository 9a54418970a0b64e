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
