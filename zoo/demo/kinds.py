"""Which methods have a page, and of which kind. Readable without Keras: the command line lists them."""

_METHODS = {
    # of `zoo.demo.texts`
    "chat": "AttentionWithIntention DynamicContextModel MMIConversationalModel NeuralConversationalModel",
    "questions": "MemN2N MemNN",
    "translation": "FusionTranslator LargeVocabularyTranslator RareWordTranslator",
    "tasks": "MultiTaskSeq2Seq",
    "summary": "ABS",
    "continuation": "CharacterRNN LargeVocabularyLM LargerContextLM",
    "text_class": "CharCNN SALSTM SentenceCNN",
    "tags": "BLSTMTagger",
    "spans": "ByteToSpan",
    # of `zoo.demo.images`
    "digit": "DeepLDA DefensiveDistillation Distillation ELUNet EarlyInference GradNet GradientNoiseNet MaxPoolingDropoutNet ReNet "
    "RobustOptimization StrongAdversary VAT",
    "attack": "JSMA",
    "explanation": "LRP",
    "samples": "AdversarialAutoencoder DCGAN FlowVAE GMMN GeneralizedAdversarialNet LAPGAN MADE",
    "membranes": "UNet",
    "faces": "DDFD",
}
# class -> kind, a function of one of the two modules
KINDS = {name: kind for kind, names in _METHODS.items() for name in names.split()}
