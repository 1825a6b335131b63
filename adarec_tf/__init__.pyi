from adarec_tf.config.search import Budget as Budget
from adarec_tf.data.dataset import Dataset as Dataset
from adarec_tf.data.log.built_in import generate_sample_scene as generate_sample_scene
from adarec_tf.distillation.distiller import Distiller as Distiller
from adarec_tf.evaluation.accuracy import evaluate as evaluate
from adarec_tf.evaluation.baselines import ItemKNN as ItemKNN
from adarec_tf.evaluation.baselines import Markov as Markov
from adarec_tf.evaluation.baselines import Popularity as Popularity
from adarec_tf.export.recommender import Recommender as Recommender
from adarec_tf.export.recommender import export as export
from adarec_tf.export.recommender import load as load
from adarec_tf.models.metrics import MRR as MRR
from adarec_tf.models.metrics import NDCG as NDCG
from adarec_tf.models.metrics import HitRate as HitRate
from adarec_tf.models.next_item_model import NextItemModel as NextItemModel
from adarec_tf.models.students.genotype import Genotype as Genotype
from adarec_tf.models.students.student import Student as Student
from adarec_tf.models.teachers.bert4rec import BERT4Rec as BERT4Rec
from adarec_tf.models.teachers.nextitnet import NextItNet as NextItNet
from adarec_tf.models.teachers.sasrec import SASRec as SASRec
from adarec_tf.tuning.student import distill as distill
from adarec_tf.tuning.student import search as search

__version__: str
