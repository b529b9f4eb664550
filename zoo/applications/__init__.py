"""All methods. Importing this room imports each of them, so that Keras finds the classes of saved models."""

from zoo.applications.bayesian_seg_net import BayesianSegNet as BayesianSegNet
from zoo.applications.blstm_tagger import BLSTMTagger as BLSTMTagger
from zoo.applications.char_cnn import CharCNN as CharCNN
from zoo.applications.crf_as_rnn import CRFasRNN as CRFasRNN
from zoo.applications.dcgan import DCGAN as DCGAN
from zoo.applications.ddfd import DDFD as DDFD
from zoo.applications.deep_lda import DeepLDA as DeepLDA
from zoo.applications.deep_mask import DeepMask as DeepMask
from zoo.applications.dilated_context_net import DilatedContextNet as DilatedContextNet
from zoo.applications.dv_ngram import DVNgram as DVNgram
from zoo.applications.dynamic_capacity_net import DynamicCapacityNet as DynamicCapacityNet
from zoo.applications.elu_net import ELUNet as ELUNet
from zoo.applications.grad_net import GradNet as GradNet
from zoo.applications.light_fm import LightFM as LightFM
from zoo.applications.lsuv_net import LSUVNet as LSUVNet
from zoo.applications.max_pooling_dropout_net import MaxPoolingDropoutNet as MaxPoolingDropoutNet
from zoo.applications.mem_n2n import MemN2N as MemN2N
from zoo.applications.neural_style import NeuralStyle as NeuralStyle
from zoo.applications.paragraph_vectors import ParagraphVectors as ParagraphVectors
from zoo.applications.prioritized_dqn import PrioritizedDQN as PrioritizedDQN
from zoo.applications.re_net import ReNet as ReNet
from zoo.applications.sentence_cnn import SentenceCNN as SentenceCNN
from zoo.applications.sentence_vae import SentenceVAE as SentenceVAE
from zoo.applications.unet import UNet as UNet
from zoo.applications.vat import VAT as VAT
