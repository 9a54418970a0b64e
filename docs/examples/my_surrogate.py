from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.kernels import RBFKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood


def smooth_gp(train_X, train_Y, train_Yvar=None, *, seed=0):
    """Fit a Gaussian process with an isotropic squared-exponential kernel.

    It learns the noise and leaves the measured error bars aside. Nothing in it is random: the seed has no use.
    """
    m = train_Y.shape[-1]
    model = SingleTaskGP(train_X, train_Y, covar_module=ScaleKernel(RBFKernel()), outcome_transform=Standardize(m))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model
