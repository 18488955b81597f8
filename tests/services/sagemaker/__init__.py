"""A small Amazon SageMaker on this machine: good enough to rehearse a study of Amazon Nova without an account.

`SagemakerServer` starts it, in processes of their own: a server that speaks SageMaker's protocol, and moto's S3.
"""
